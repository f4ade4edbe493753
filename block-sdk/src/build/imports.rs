//! The imports of a component.

use wit_component::DecodedWasm;
use wit_parser::WorldItem;

use super::Result;

/// Returns the functions that a component imports, such as `promoflow:workflow/data@1.0.0#get`.
/// Interfaces of which it uses only types are not included.
///
/// # Errors
/// Fails if the bytes are not a component.
pub fn imports(component: &[u8]) -> Result<Vec<String>> {
    let decoded = match wit_component::decode(component)? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => {
            anyhow::bail!("the bytes are a package of interfaces, not a component")
        }
    };
    let (resolve, world) = decoded;
    let mut functions = Vec::new();
    for (key, item) in &resolve.worlds[world].imports {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Interface { id, .. } => {
                let names = resolve.interfaces[*id].functions.keys();
                functions.extend(names.map(|function| format!("{name}#{function}")));
            }
            WorldItem::Function(_) => functions.push(name),
            WorldItem::Type { .. } => {}
        }
    }
    Ok(functions)
}
