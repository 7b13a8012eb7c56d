#[mesh::service]
trait Blocking {
    #[selector("a")]
    fn method(&self) -> Result<String>;
}

#[mesh::service]
trait Unselected {
    async fn method(&self) -> Result<String>;
}

#[mesh::service]
trait Infallible {
    #[selector("a")]
    async fn method(&self) -> String;
}

#[mesh::service]
trait Static {
    #[selector("a")]
    async fn method() -> Result<String>;
}

#[mesh::service]
trait WithBody {
    #[selector("a")]
    async fn method(&self) -> Result<String> {
        Ok("a".into())
    }
}

#[mesh::service(min_available = 2)]
trait TooFew {
    #[selector("a")]
    async fn method(&self) -> Result<String>;
}

#[mesh::service(minimum = 1)]
trait UnknownKey {
    #[selector("a")]
    async fn method(&self) -> Result<String>;
}

#[mesh::service]
trait Empty {}

#[mesh::service]
struct NotATrait;

fn main() {}
