"""Objects that clients ask for by their ids: models, stored responses, conversations, files, batches."""
