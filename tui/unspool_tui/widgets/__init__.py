"""Line widgets: they lay rows out, cache what they drew, repaint only what differs, and send messages."""
