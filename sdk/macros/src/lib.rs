//! The attributes of mesh-sdk.
