//! Other writings of the same, which another parser might read as something else.

use serde_json::json;

use super::{Forgeries, with_trailing_bits};

impl Forgeries<'_> {
    pub(super) fn writings(&mut self, input: &str) {
        let signature = self.signature.clone();
        let good = format!("{input}.{signature}");
        let (header, claims) = input.split_once('.').expect("two parts");
        let flattened = json!({"protected": header, "payload": claims, "signature": signature});
        let general = json!({"payload": claims, "signatures": [{"protected": header, "signature": signature}]});
        for (what, token) in [
            ("two parts", input.to_owned()),
            ("four parts", format!("{good}.")),
            ("five parts", format!("{good}.x.y")),
            ("one part", header.to_owned()),
            ("no header", format!(".{claims}.{signature}")),
            ("no claims", format!("{header}..{signature}")),
            ("dots", "..".to_owned()),
            ("flattened JSON", flattened.to_string()),
            ("JSON", general.to_string()),
            ("a blank before", format!(" {good}")),
            ("a blank after", format!("{good} ")),
            ("a line after", format!("{good}\r\n")),
            ("a blank within", good.replacen('.', " .", 1)),
            ("a NUL after", format!("{good}\0")),
            ("in quotes", format!("\"{good}\"")),
            (
                "padding of the header",
                format!("{header}=.{claims}.{signature}"),
            ),
            (
                "padding of the claims",
                format!("{header}.{claims}=.{signature}"),
            ),
            ("the claims, bare", self.original.claims.to_string()),
        ] {
            self.put(what, token);
        }
        for (what, header, claims) in [
            (
                "trailing bits of the header",
                with_trailing_bits(header),
                Some(claims.to_owned()),
            ),
            (
                "trailing bits of the claims",
                Some(header.to_owned()),
                with_trailing_bits(claims),
            ),
        ] {
            if let (Some(header), Some(claims)) = (header, claims) {
                self.put(what, format!("{header}.{claims}.{signature}"));
            }
        }
    }
}
