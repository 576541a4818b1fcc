//! The tokens of a file, read one after the other; variables are put in where they stand.

use super::lexer::{Kind, Token};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// What names stand for.
type Variables = HashMap<Rc<str>, Rc<[Token]>>;

/// So many tokens may variables stand for in all: a few lines of definitions that name each other twice make any number.
const MOST: usize = 1 << 20;

/// Tokens that are still to be read.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    rest: VecDeque<Token>,
    variables: Rc<Variables>,
    put_in: Rc<Cell<usize>>,
}

impl Cursor {
    /// Reads a rule's tokens with the variables of the file that it is in.
    pub(super) fn of(&self, tokens: Vec<Token>) -> Self {
        Self { rest: tokens.into(), variables: Rc::clone(&self.variables), put_in: Rc::clone(&self.put_in) }
    }

    /// Puts tokens before those that are still to be read.
    pub(super) fn include(&mut self, tokens: Vec<Token>) {
        tokens.into_iter().rev().for_each(|token| self.rest.push_front(token));
    }

    /// Defines a variable; those that it is made of are put in as they are now.
    pub(super) fn define(&mut self, name: &Rc<str>, tokens: Vec<Token>) {
        let mut means = Vec::new();
        for token in tokens {
            match self.variables.get(&token.text).filter(|_| token.kind == Kind::Variable) {
                Some(known) if self.may_put_in(known.len()) => means.extend(known.iter().cloned()),
                _ => means.push(token),
            }
        }
        Rc::make_mut(&mut self.variables).insert(Rc::clone(name), means.into());
    }

    pub(super) fn undefine(&mut self, name: &str) {
        Rc::make_mut(&mut self.variables).remove(name);
    }

    fn may_put_in(&self, tokens: usize) -> bool {
        self.put_in.set(self.put_in.get().saturating_add(tokens));
        self.put_in.get() <= MOST
    }

    /// Puts in what a variable at the beginning stands for; one that is not defined stays.
    fn expand(&mut self, ahead: usize) {
        while let Some(token) = self.rest.get(ahead).filter(|token| token.kind == Kind::Variable) {
            let Some(means) = self.variables.get(&token.text).map(Rc::clone) else { return };
            if !self.may_put_in(means.len()) {
                return;
            }
            let (line, file, from, to) = (token.line, token.file, token.from, token.to);
            let before: Vec<Token> = self.rest.drain(..=ahead).take(ahead).collect();
            for token in means.iter().rev() {
                self.rest.push_front(Token { line, file, from, to, ..token.clone() });
            }
            for token in before.into_iter().rev() {
                self.rest.push_front(token);
            }
        }
    }

    /// The token that is `ahead` tokens ahead.
    pub(super) fn peek_at(&mut self, ahead: usize) -> Option<&Token> {
        for at in 0..=ahead {
            self.expand(at);
        }
        self.rest.get(ahead)
    }

    pub(super) fn peek(&mut self) -> Option<&Token> {
        self.peek_at(0)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        self.expand(0);
        self.rest.pop_front()
    }

    /// Whether a word or sign comes `ahead` tokens ahead.
    pub(super) fn is_at(&mut self, ahead: usize, text: &str) -> bool {
        self.peek_at(ahead).is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Sign) && &*token.text == text)
    }

    /// Whether this word or sign comes.
    pub(super) fn is(&mut self, text: &str) -> bool {
        self.is_at(0, text)
    }

    /// Takes this word or sign, if it comes.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let is = self.is(text);
        if is {
            self.next();
        }
        is
    }

    /// Takes this word or sign; `None`: something else comes.
    pub(super) fn want(&mut self, text: &str) -> Option<()> {
        self.take(text).then_some(())
    }

    /// Takes the first of these words that comes.
    pub(super) fn one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| self.take(word))
    }

    /// Takes a word.
    pub(super) fn word(&mut self) -> Option<Rc<str>> {
        match self.peek()?.kind {
            Kind::Word => self.next().map(|token| token.text),
            _ => None,
        }
    }

    /// Takes a word, quoted or not.
    pub(super) fn name(&mut self) -> Option<Rc<str>> {
        match self.peek()?.kind {
            Kind::Word | Kind::Quoted => self.next().map(|token| token.text),
            _ => None,
        }
    }

    /// Takes a number.
    pub(super) fn number(&mut self) -> Option<u64> {
        let number = self.peek().filter(|token| token.kind == Kind::Word)?.text.parse().ok()?;
        self.next();
        Some(number)
    }

    /// Whether a line or command ends here.
    pub(super) fn is_end(&mut self) -> bool {
        self.peek().is_none_or(|token| token.kind == Kind::End)
    }

    /// Passes over ends of lines.
    pub(super) fn pass_ends(&mut self) {
        while self.peek().is_some_and(|token| token.kind == Kind::End) {
            self.next();
        }
    }

    /// Takes all up to the end of the line or command, or to the brace that closes the block it is in; ends within braces
    /// of its own do not count.
    pub(super) fn statement(&mut self) -> Vec<Token> {
        let (mut depth, mut taken) = (0_u32, Vec::new());
        while let Some(token) = self.rest.front() {
            match (token.kind, &*token.text) {
                (Kind::End, _) if depth == 0 => break,
                (Kind::Sign, "{") => depth += 1,
                (Kind::Sign, "}") if depth == 0 => break,
                (Kind::Sign, "}") => depth -= 1,
                _ => {}
            }
            taken.extend(self.rest.pop_front());
        }
        taken
    }
}
