//! Equal dialects.
