"""Export: the decoding signatures and the versioned bundle that carries them."""
