"""How models hand each other what they computed: the frame in which tensors cross from one process to another."""
