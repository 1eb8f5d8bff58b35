//! Computing the state's digest again from its rows, to find damage done outside of apply, and
//! telling a state of another cluster.
use alloc::format;
use alloc::vec::Vec;

use synod_abi::ClusterId;

use crate::ports::{Fatal, StateView, Table};
use crate::rows::digest::RowSum;
use crate::rows::directory::is_counted;
use crate::rows::head::{Head, head};
use crate::rows::scan::Scan;

/// Sums every row of `view` that counts, and compares with the sum in the head.
///
/// # Errors
/// [`Fatal`] if the rows cannot be read, or are not those that the head stands for: they were
/// damaged outside of apply.
pub fn verify(view: &impl StateView) -> Result<(), Fatal> {
    let kept = head(view)?.map_or_else(RowSum::default, |head: Head| head.rows);
    let mut sum = RowSum::default();
    let mut buffer = Vec::new();
    for table in Table::ALL {
        let mut scan = Scan::range(table, Vec::new(), Vec::new());
        while let Some(rows) = scan.next_page(view)? {
            for (key, value) in rows.iter().filter(|(key, _)| is_counted(table, key)) {
                sum.add(table, key, value, &mut buffer);
            }
        }
    }
    if sum == kept {
        return Ok(());
    }
    Err(Fatal(
        "the rows of the state do not have the digest that was recorded with them: the data of this \
        member is damaged; remove its data directory and let it join again"
            .into(),
    ))
}

/// Whether `view` is of `cluster`; a state from before its cluster was formed is of any.
///
/// # Errors
/// [`Fatal`] if the head cannot be read, or is of another cluster.
pub fn verify_cluster(view: &impl StateView, cluster: ClusterId) -> Result<(), Fatal> {
    match head(view)?.and_then(|head| head.cluster).filter(|theirs| *theirs != cluster) {
        None => Ok(()),
        Some(theirs) => {
            Err(Fatal(format!("the state is of cluster {theirs}, and this member belongs to {cluster}")))
        }
    }
}
