//! Every URL of this site. The only home of actix.
