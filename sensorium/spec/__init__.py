"""What people declare in files, and what is wrong with it. Pure: nothing here opens a model, a socket or a tool."""
