"""What happens to a complaint. See docs/architecture.md for the floors and the direction of imports."""
