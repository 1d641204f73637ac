"""How uncertain metrics are: intervals over seeds, test images and patients, and models compared by pairs."""
