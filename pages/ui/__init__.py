"""What the pages share: routes, cached loaders, state, maps, inputs and texts."""
