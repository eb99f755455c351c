"""W&B's dashboard as code: a workspace and a report that compare normalizers, written by `snlab dashboard`.

``sections`` says what is shown, ``project`` what a project's runs logged, ``views`` makes W&B's own JSON of
both, and ``server`` alone speaks to W&B.
"""
