//! Configuration that is kept in the brick's own database.

use brick_config::Table;
use brick_state::Database;

use super::Brick;
use crate::Error;

impl Brick {
    /// Has the rows of the table `brick_config (key, value)` of a database of this brick count in its configurations,
    /// above the configuration repository and below live changes. The table is made where it is missing; a changed row
    /// counts within seconds, at once where `notify brick_config` is said. Rows that do not fit are refused together, the
    /// old values stay, and the log says why.
    pub async fn config_table(&self, db: &Database) -> Result<(), Error> {
        let table = Table::open(db, &self.0.live).await?;
        self.0.tasks.lock().spawn(table.follow(self.0.stopping.clone()));
        Ok(())
    }
}
