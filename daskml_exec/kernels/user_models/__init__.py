"""Small linear models, one for each user on the features of the user's items."""
