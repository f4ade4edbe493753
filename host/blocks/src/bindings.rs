//! The Rust bindings of the contract, generated from `wit/`.
#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "full-block",
    imports: { default: trappable },
});
