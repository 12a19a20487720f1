"""The one door: validate, assign ids, call verbs."""
