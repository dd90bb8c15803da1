"""Chapter 2: people in video, from the attention of networks to the boxes and labels of data sets."""
