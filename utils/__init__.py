"""What every room may use: nothing here knows of images or networks."""
