"""What a discriminator is like, measured without changing it: pure functions of it and of samples.

    from snlab.diagnostics.sigma import layer_spectra, sigma, spectrum
    from snlab.diagnostics.lipschitz import bounds, gradient_norms, lipschitz
    from snlab.diagnostics.ratio import ratio
    from snlab.diagnostics.stability import stability
    from snlab.diagnostics.gradient import generator_gradients, logit_gradients

Any ``nn.Module`` that maps (B, *sample_shape) to logits (B,) will do. Each function evaluates in evaluation
mode and leaves buffers, gradients, training flags and the global random state as they were; each returns
plain Python numbers under the names of ``snlab.core.names``. (Nothing is exported from here: the modules are
named after their functions, and the one would hide the other.)
"""
