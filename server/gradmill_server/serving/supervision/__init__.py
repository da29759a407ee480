"""Worker processes on one port, and the process that starts them, watches over them and replaces those that die."""
