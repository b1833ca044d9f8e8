"""What the server imports that workers are forked off, beside the user's function, so that they need not."""

import torch

torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports torch's compiler, for a second
