"""Export: the signatures and the versioned bundle that contains them."""
