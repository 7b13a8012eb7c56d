//! stub
use std::sync::Arc;
use crate::alive::Alive;
use crate::effects::*;
use crate::id::MemberId;
use super::{Protocol, Turn};
pub(super) struct Asked;
impl Protocol {
    pub(super) fn begin_repairing(&mut self, _t: &mut Turn<'_>) {}
    pub(super) fn pull_members(&mut self, from: MemberId, t: &mut Turn<'_>) { self.members_pulled(from, t); }
    pub(super) fn lack_records(&mut self, _i: MemberId, _x: MemberId, _t: &mut Turn<'_>) {}
    pub(super) fn lack_records_at(&mut self, _i: MemberId, _x: MemberId, _t: &mut Turn<'_>) {}
    pub(super) fn lack_blob(&mut self, _h: [u8;32], _i: MemberId, _x: MemberId, _t: &mut Turn<'_>) {}
    pub(super) fn lack_blobs_of(&mut self, _i: MemberId, _x: MemberId, _t: &mut Turn<'_>) {}
    pub(super) fn plan_pulls(&mut self, _t: &mut Turn<'_>) {}
    pub(super) fn compare_views(&mut self, _m: MemberId, _same: bool, _t: &mut Turn<'_>) {}
    pub(super) fn answer_stream(&mut self, _f: MemberId, _a: AskId, _r: &[u8], _t: &mut Turn<'_>) {}
    pub(super) fn take_answer(&mut self, _a: AskId, _r: Result<&[u8], AskFailed>, _t: &mut Turn<'_>) {}
    pub(super) fn learn_from_courier(&mut self, _a: &[Arc<Alive>], _t: &mut Turn<'_>) {}
    pub(super) fn carry(&mut self, _f: MemberId, _b: Vec<u8>, _t: &mut Turn<'_>) {}
    pub(super) fn consider_exchange(&mut self, _t: &mut Turn<'_>) {}
}
