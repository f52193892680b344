"""HTTP only: parse, call one journey or one capability, return."""
