"""What several pages show and use."""
