//! Serves every page with usual and with unusual content, to be looked at: `cargo run -p auth-server --example pages`.

#[path = "../tests/it/pages/gallery.rs"]
mod gallery;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = "127.0.0.1:8099";
    for (path, _) in gallery::PAGES {
        println!("http://{address}{path}");
    }
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, gallery::router()).await
}
