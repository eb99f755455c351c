"""One run: arguments, built objects, measurements, its claim on a folder, the fit."""
