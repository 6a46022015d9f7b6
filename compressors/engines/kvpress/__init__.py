"""The presses of kvpress on the carrier of transformers."""
