"""What is wrong with a gradient: the smallest input, the region, and likely causes."""
