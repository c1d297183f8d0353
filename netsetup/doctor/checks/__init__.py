"""What the doctor looks for: pure functions from facts to findings, a module for each kind of trouble."""
