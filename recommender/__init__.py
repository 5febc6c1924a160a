"""What to watch next: the two networks of Covington et al. 2016, and a feed of all sources."""
