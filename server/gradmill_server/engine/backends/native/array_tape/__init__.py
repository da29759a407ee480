"""The tape machine for values that are arrays: records that loop over elements, lanes being points as ever."""
