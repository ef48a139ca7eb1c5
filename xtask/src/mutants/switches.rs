//! Puts all mutants of a source file into it, each at a switch.
//!
//! An expression `a == b` becomes `(if on(7) {a != b} else {a == b})`, a function returns another value
//! at once if its switch is on, and an arm of a match gets a guard. So one build contains all mutants,
//! and a trial only sets an environment variable.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::Visit;

use super::list::{Kind, Mutant, offset};
use crate::Result;

/// A file with switches.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    pub(crate) text: String,
    /// The text that each mutant added.
    pub(crate) own: Vec<(usize, Range<usize>)>,
    /// The code around each mutant: an expression, a guard, a whole match or a function.
    pub(crate) around: Vec<(usize, Range<usize>)>,
    /// Mutants for which there is no switch.
    pub(crate) left_out: Vec<usize>,
}

/// Text to be inserted, and its place.
#[derive(Debug)]
struct Piece {
    at: usize,
    /// Ends come before beginnings, inner ends before outer ones, and outer beginnings before inner
    /// ones.
    order: (u8, i64, u8),
    text: String,
    mutant: Option<usize>,
}

/// The places for switches, found by the places that cargo-mutants reports.
#[derive(Debug, Default)]
struct Found {
    /// The expression of the operator at each place.
    operators: BTreeMap<usize, Range<usize>>,
    /// The arm at each place.
    arms: BTreeMap<usize, FoundArm>,
    /// The matches that contain the code being visited.
    matches: Vec<Range<usize>>,
}

#[derive(Debug)]
struct FoundArm {
    /// The end of its pattern.
    pattern: usize,
    guard: Option<Range<usize>>,
    /// The match that contains it.
    whole: Range<usize>,
}

impl Visit<'_> for Found {
    fn visit_expr_binary(&mut self, expression: &syn::ExprBinary) {
        if !has_let(&expression.left) && !has_let(&expression.right) {
            let operator = expression.op.span().byte_range().start;
            self.operators
                .insert(operator, expression.span().byte_range());
        }
        syn::visit::visit_expr_binary(self, expression);
    }

    fn visit_expr_unary(&mut self, expression: &syn::ExprUnary) {
        let operator = expression.op.span().byte_range().start;
        self.operators
            .insert(operator, expression.span().byte_range());
        syn::visit::visit_expr_unary(self, expression);
    }

    fn visit_expr_match(&mut self, expression: &syn::ExprMatch) {
        self.matches.push(expression.span().byte_range());
        syn::visit::visit_expr_match(self, expression);
        self.matches.pop();
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        let (pattern, guard) = match &arm.pat {
            syn::Pat::Guard(guarded) => (&*guarded.pat, Some(&*guarded.guard)),
            pattern => (pattern, None),
        };
        if !guard.is_some_and(has_let) {
            let found = FoundArm {
                pattern: pattern.span().byte_range().end,
                guard: guard.map(|guard| guard.span().byte_range()),
                whole: self.matches.last().cloned().unwrap_or_default(),
            };
            self.arms.insert(arm.span().byte_range().start, found);
        }
        syn::visit::visit_arm(self, arm);
    }
}

/// Whether this is a chain of conditions with a `let`, which must not be put in parentheses.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Puts the switches of these mutants into a source file.
pub(crate) fn switched(source: &str, mutants: &[&Mutant]) -> Result<Switched> {
    let file = syn::parse_file(source)?;
    let mut found = Found::default();
    found.visit_file(&file);
    let mut switched = Switched::default();
    let mut pieces: Vec<Piece> = Vec::new();
    // The place of each mutant in the source.
    let mut places: Vec<(usize, Range<usize>)> = Vec::new();
    let mut groups: BTreeMap<(usize, usize), Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let range = offset(source, mutant.start)..offset(source, mutant.end);
        groups
            .entry((range.start, range.end))
            .or_default()
            .push(mutant);
    }
    for ((start, end), group) in groups {
        for mutant in &group {
            let on = format!("crate::mutant_switch::on({})", mutant.number);
            let place = match mutant.kind {
                Kind::Function => {
                    let text = format!("if {on} {{ return {}; }} ", mutant.replacement);
                    pieces.push(Piece {
                        at: start,
                        order: (1, -signed(end), 0),
                        text,
                        mutant: Some(mutant.number),
                    });
                    Some(start..end)
                }
                Kind::Binary | Kind::Unary => found.operators.get(&start).cloned(),
                Kind::Arm => found.arms.get(&start).map(|arm| arm.whole.clone()),
                Kind::Guard => Some(start..end),
            };
            match place {
                Some(place) => places.push((mutant.number, place)),
                None => switched.left_out.push(mutant.number),
            }
        }
        let Some(first) = group.first() else { continue };
        match first.kind {
            Kind::Function => {}
            Kind::Binary | Kind::Unary => {
                let Some(whole) = found.operators.get(&start) else {
                    continue;
                };
                for mutant in &group {
                    let before = source.get(whole.start..start).unwrap_or_default();
                    let after = source.get(end..whole.end).unwrap_or_default();
                    let text = format!(
                        "(if crate::mutant_switch::on({}) {{ {before}{}{after} }} else {{ ",
                        mutant.number, mutant.replacement
                    );
                    pieces.push(beginning(whole, text, Some(mutant.number)));
                    pieces.push(ending(whole, " })"));
                }
            }
            Kind::Arm => {
                let Some(FoundArm { pattern, guard, .. }) = found.arms.get(&start) else {
                    continue;
                };
                let off = format!("!crate::mutant_switch::on({})", first.number);
                match guard {
                    Some(guard) => {
                        let mut piece = beginning(guard, format!("{off} && ("), Some(first.number));
                        piece.order.2 = 0;
                        pieces.push(piece);
                        let mut piece = ending(guard, ")");
                        piece.order.2 = 2;
                        pieces.push(piece);
                    }
                    None => pieces.push(beginning(
                        &(*pattern..*pattern),
                        format!(" if {off}"),
                        Some(first.number),
                    )),
                }
            }
            Kind::Guard => {
                let whole = start..end;
                for mutant in &group {
                    let on = format!("crate::mutant_switch::on({})", mutant.number);
                    let text = match mutant.replacement.as_str() {
                        "true" => format!("({on} || ("),
                        _ => format!("(!{on} && ("),
                    };
                    pieces.push(beginning(&whole, text, Some(mutant.number)));
                    pieces.push(ending(&whole, "))"));
                }
            }
        }
    }
    put(source, pieces, &places, &mut switched);
    Ok(switched)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn beginning(whole: &Range<usize>, text: String, mutant: Option<usize>) -> Piece {
    let order = (1, -signed(whole.end), 1);
    let at = whole.start;
    Piece {
        at,
        order,
        text,
        mutant,
    }
}

fn ending(whole: &Range<usize>, text: &str) -> Piece {
    let order = (0, -signed(whole.start), 1);
    let (at, text) = (whole.end, text.to_owned());
    Piece {
        at,
        order,
        text,
        mutant: None,
    }
}

/// Inserts the pieces, and records the resulting places of the pieces and of the code around them.
fn put(
    source: &str,
    mut pieces: Vec<Piece>,
    places: &[(usize, Range<usize>)],
    switched: &mut Switched,
) {
    pieces.sort_by_key(|piece| (piece.at, piece.order));
    // The place of each piece, and how many bytes were inserted up to and including the piece.
    let mut shifts: Vec<(usize, usize)> = Vec::new();
    let (mut done, mut added) = (0, 0);
    for piece in pieces {
        switched.text += source.get(done..piece.at).unwrap_or_default();
        done = piece.at;
        let start = switched.text.len();
        switched.text += &piece.text;
        if let Some(mutant) = piece.mutant {
            switched.own.push((mutant, start..switched.text.len()));
        }
        added += piece.text.len();
        shifts.push((piece.at, added));
    }
    switched.text += source.get(done..).unwrap_or_default();
    let before = |at: usize, inclusive: bool| {
        let end = shifts.partition_point(|(place, _)| *place < at || inclusive && *place == at);
        end.checked_sub(1)
            .and_then(|last| shifts.get(last))
            .map_or(0, |shift| shift.1)
    };
    for (mutant, place) in places {
        let start = place.start + before(place.start, false);
        let end = place.end + before(place.end, true);
        switched.around.push((*mutant, start..end));
    }
}
