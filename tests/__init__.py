"""The tests of Tenure. A folder for each package, a file for each module; see CONTRIBUTING.md."""
