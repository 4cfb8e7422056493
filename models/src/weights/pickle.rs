//! The pickle that `torch.save` writes, read as data.
//!
//! Nothing is called and nothing imported: of all that a pickle can name, only what makes up a dictionary of
//! tensors means something, and the rest becomes [`Value::Other`]. Work and memory are bounded by the file's
//! size: values are shared, not copied, and only tuples nest, a few levels deep.
//!
//! Opcodes: Python's `pickletools`, protocol 2. What torch puts into them: `torch/_utils.py`, `torch/serialization.py`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// Tuples hold tuples: a tensor's arguments hold those of its storage.
const DEEPEST: usize = 8;
const MOST_VALUES: usize = 1 << 20;
const MOST_AXES: usize = 8;

/// A tensor as the pickle describes it: numbers of a storage, which is a file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredTensor {
    pub(super) storage: Rc<Storage>,
    /// In elements, as the strides.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// torch's name of its type, such as `torch.FloatStorage`.
    pub(super) class: Rc<str>,
    pub(super) file: Rc<str>,
}

#[derive(Debug, Clone)]
enum Value {
    Mark,
    Integer(i64),
    Text(Rc<str>),
    /// `module.name`
    Global(Rc<str>),
    Tuple(Rc<Tuple>),
    Storage(Rc<Storage>),
    Tensor(Rc<StoredTensor>),
    Tensors(Tensors),
    Other,
}

#[derive(Debug)]
struct Tuple {
    items: Vec<Value>,
    depth: usize,
}

/// A dictionary, of which only its tensors are kept.
type Tensors = Rc<RefCell<BTreeMap<Rc<str>, Rc<StoredTensor>>>>;

/// The tensors of the dictionary that `pickle` holds, by name. The error says what is wrong, and where.
pub(super) fn read(pickle: &[u8]) -> Result<BTreeMap<String, StoredTensor>, String> {
    let mut machine = Machine { rest: pickle, stack: Vec::new(), memo: HashMap::new() };
    loop {
        let at = pickle.len() - machine.rest.len();
        if let Some(result) = machine.step().map_err(|what| format!("byte {at} of the pickle: {what}"))? {
            let Value::Tensors(tensors) = result else { return Err("it holds no dictionary".to_owned()) };
            let tensors = tensors.borrow();
            return Ok(tensors.iter().map(|(name, tensor)| (name.to_string(), StoredTensor::clone(tensor))).collect());
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    /// Executes one opcode. The value is the pickle's, at its end.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let opcode = self.byte()?;
        match opcode {
            // PROTO
            0x80 => drop(self.byte()?),
            b'.' => return self.pop().map(Some),
            b'(' => self.push(Value::Mark)?,
            // GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}").into()))?;
            }
            // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
            b'q' => self.byte().map(u32::from).and_then(|key| self.remember(key))?,
            b'r' => self.number().and_then(|key| self.remember(key))?,
            b'h' => self.byte().map(u32::from).and_then(|key| self.recall(key))?,
            b'j' => self.number().and_then(|key| self.recall(key))?,
            // BINUNICODE
            b'X' => {
                let length = self.number()? as usize;
                let text = str::from_utf8(self.take(length)?).map_err(|_| "a text that is not UTF-8")?;
                self.push(Value::Text(text.into()))?;
            }
            // BININT, BININT1, BININT2, LONG1
            b'J' => self.number().and_then(|n| self.push(Value::Integer(i64::from(n as i32))))?,
            b'K' => self.byte().and_then(|n| self.push(Value::Integer(i64::from(n))))?,
            b'M' => {
                let n = u16::from_le_bytes([self.byte()?, self.byte()?]);
                self.push(Value::Integer(i64::from(n)))?;
            }
            0x8a => {
                let length = self.byte()?;
                let bytes = self.take(usize::from(length))?;
                self.push(small_integer(bytes).map_or(Value::Other, Value::Integer))?;
            }
            // BINFLOAT
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)?;
            }
            // NONE, NEWTRUE, NEWFALSE, EMPTY_LIST
            b'N' | 0x88 | 0x89 | b']' => self.push(Value::Other)?,
            // EMPTY_TUPLE, TUPLE1 to TUPLE3, TUPLE
            b')' => self.push_tuple(Vec::new())?,
            0x85..=0x87 => {
                let length = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(length).ok_or("a tuple of more than there is")?;
                let items = self.stack.split_off(start);
                self.push_tuple(items)?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items)?;
            }
            b'}' => self.push(Value::Tensors(Tensors::default()))?,
            // SETITEM, SETITEMS
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            // APPEND, APPENDS, BUILD: lists and attributes are not read.
            b'a' | b'b' => drop(self.pop()?),
            b'e' => drop(self.pop_to_mark()?),
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                self.push(storage(&id).map_or(Value::Other, |storage| Value::Storage(Rc::new(storage))))?;
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.push(made(&callable, &arguments)?)?;
            }
            other => return Err(format!("opcode {other:#04x}, which torch.save does not write")),
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("it ends early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let length = self.rest.iter().take(256).position(|&byte| byte == b'\n').ok_or("a name without an end")?;
        let line = &self.take(length + 1)?[..length];
        str::from_utf8(line).map_err(|_| "a name that is not UTF-8".to_owned())
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.stack.len() >= MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "a value is missing".to_owned())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark)).ok_or("a mark is missing")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Result<(), String> {
        let below = items.iter().map(|item| if let Value::Tuple(tuple) = item { tuple.depth } else { 0 }).max();
        let depth = below.unwrap_or(0) + 1;
        if depth > DEEPEST {
            return Err(format!("tuples within tuples, more than {DEEPEST} deep"));
        }
        self.push(Value::Tuple(Rc::new(Tuple { items, depth })))
    }

    /// The dictionary on top of the stack gets keys and values, of which tensors with a name are kept.
    fn set_items(&mut self, items: Vec<Value>) -> Result<(), String> {
        if !items.len().is_multiple_of(2) {
            return Err("a key without a value".to_owned());
        }
        let dictionary = self.stack.last().ok_or("a dictionary is missing")?;
        let Value::Tensors(tensors) = dictionary else { return Ok(()) };
        let mut tensors = tensors.borrow_mut();
        for pair in items.chunks_exact(2) {
            if let [Value::Text(name), Value::Tensor(tensor)] = pair {
                tensors.insert(Rc::clone(name), Rc::clone(tensor));
            }
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        let value = self.stack.last().ok_or("a value is missing")?.clone();
        if self.memo.len() >= MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).cloned().ok_or_else(|| format!("value {key} was never kept"))?;
        self.push(value)
    }
}

/// Little-endian, two's complement.
fn small_integer(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(whole))
}

fn items(value: &Value) -> Option<&[Value]> {
    if let Value::Tuple(tuple) = value { Some(&tuple.items) } else { None }
}

/// `("storage", TYPE, FILE, device, length)`
fn storage(id: &Value) -> Option<Storage> {
    let [Value::Text(kind), Value::Global(class), Value::Text(file), ..] = items(id)? else { return None };
    (class.starts_with("torch.") && **kind == *"storage")
        .then(|| Storage { class: Rc::clone(class), file: Rc::clone(file) })
}

/// What calling `callable` would make, where we know it.
fn made(callable: &Value, arguments: &Value) -> Result<Value, String> {
    let (Value::Global(name), Some(arguments)) = (callable, items(arguments)) else { return Ok(Value::Other) };
    match (&**name, arguments) {
        ("collections.OrderedDict", _) => Ok(Value::Tensors(Tensors::default())),
        ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
        ("torch._utils._rebuild_tensor_v2", [Value::Storage(storage), Value::Integer(offset), shape, strides, ..]) => {
            let tensor = StoredTensor {
                storage: Rc::clone(storage),
                offset: usize::try_from(*offset).map_err(|_| "a tensor that begins before its storage")?,
                shape: sizes(shape)?,
                strides: sizes(strides)?,
            };
            Ok(Value::Tensor(Rc::new(tensor)))
        }
        _ => Ok(Value::Other),
    }
}

fn sizes(tuple: &Value) -> Result<Vec<usize>, String> {
    let size = |item: &Value| match item {
        Value::Integer(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    items(tuple)
        .filter(|items| items.len() <= MOST_AXES)
        .and_then(|items| items.iter().map(size).collect())
        .ok_or_else(|| "a tensor whose shape is no shape".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_not_of_tensors_is_not_made() {
        // os.system("true") as the value of a dictionary's key: `torch.load` of old would run it.
        let pickle = b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX\x04\x00\x00\x00true\x85Rs.";
        assert_eq!(read(pickle), Ok(BTreeMap::new()));
    }

    #[test]
    fn what_would_grow_without_bound_is_refused_or_shared() {
        let nested = [b"\x80\x02)".as_slice(), &b"\x85".repeat(100_000), b"."].concat();
        assert!(read(&nested).expect_err("too deep").contains("deep"));
        // Doubling a value as often as the file has bytes.
        let doubled = [b"\x80\x02)".as_slice(), &b"q\x00h\x00\x86".repeat(100_000), b"."].concat();
        assert!(read(&doubled).is_err());
        let marks = [b"\x80\x02".as_slice(), &b"(".repeat(2 << 20)].concat();
        assert!(read(&marks).expect_err("too many").contains("more than"));
        // A long shape that would be copied for tensor after tensor, and a long name for storage after storage.
        let storage = |name: &[u8]| {
            let length = (name.len() as u32).to_le_bytes();
            let start = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX";
            [start.as_slice(), &length, name, b"t"].concat()
        };
        let axes = [b"(".as_slice(), &b"K\x01".repeat(60_000), b"t"].concat();
        let call = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(".as_slice();
        let tensor = [call, &storage(b"0"), b"QK\x00", &axes, &axes, b"tR."].concat();
        assert!(read(&tensor).expect_err("60,000 axes").contains("shape"));
        let (long, again) = (storage(&b"f".repeat(1 << 18)), b"h\x00Q".repeat(200_000));
        let named = [b"\x80\x02".as_slice(), &long, b"q\x00", &again, b"."];
        assert!(read(&named.concat()).is_err());
        // A text of four gigabytes, says its length.
        assert!(read(b"\x80\x02X\xff\xff\xff\xffabc").expect_err("too long").contains("ends early"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        const OPCODES: &[u8] = b"\x80.(cqrhjXJKM\x8aGN)\x85t}suabeQR\n\x00\x01\x02";
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        for _ in 0..20_000 {
            let noise: Vec<u8> = (0..40).map(|_| OPCODES[usize::from(next()) % OPCODES.len()]).collect();
            let _ = read(&noise);
        }
    }
}
