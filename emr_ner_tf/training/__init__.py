"""Training: examples, batch plans, tf.data steps, optimisation, distribution, the trainer."""
