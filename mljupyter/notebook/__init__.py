"""What magics and widgets share: options, plans, what is shown. It reads and decides; they ask and act."""
