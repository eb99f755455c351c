"""What snlab asks of each, by their dotted names, which need no registering."""

from snlab.testing import check_dataset, check_loss, check_network, check_normalizer


def test_keeps_snlabs_promises():
    check_dataset("own_gan.spiral")
    check_network("own_gan.Tiny(width=8)", sample_shape=(2,))
    check_loss("own_gan.soft_hinge")
    check_normalizer("own_gan.SmallLogits(weight=1)")
