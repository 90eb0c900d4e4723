"""Images in: the decoder, folder-per-image sets and the distorted versions they are made of."""
