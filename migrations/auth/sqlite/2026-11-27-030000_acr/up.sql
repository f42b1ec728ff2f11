-- How sure of the person the client could be: the `acr` of its tokens.
ALTER TABLE grants ADD COLUMN acr TEXT;
