//! Bindings that wit-bindgen generates from `wit/`, for the world with all interfaces.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]

wit_bindgen::generate!({
    path: "wit",
    world: "full-block",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "promoflow_block::bindings",
    additional_derives: [PartialEq],
});
