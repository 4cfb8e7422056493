//! Faulty twins: layers around a port that fail, delay, truncate and duplicate on a seed.
