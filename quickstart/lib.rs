//! Empty library of the package that builds the quickstart example and its dependencies only.
