"""Why a model says what it says: its weights as pictures, what adds up to a logit, the training images behind it."""
