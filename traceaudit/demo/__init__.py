"""The demo: a small Go shop with planted faults, how it is built, and the traffic that shows them."""
