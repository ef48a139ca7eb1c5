//! The macro behind the generated enums.

/// Declares the enum of a string column, with `Unknown` for a value the schema did not list.
#[doc(hidden)]
#[macro_export]
macro_rules! __enumeration {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        $visibility enum $name {
            $( $(#[$variant_meta])* $variant, )*
            /// A value that the compiled schema does not list, as a newer server may have; or the
            /// empty string, as long as the column is not set.
            Unknown($crate::Str),
        }

        impl $name {
            /// The value as the schema spells it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl Default for $name {
            /// The empty string: not set. A server refuses the insert of a row that leaves it so.
            fn default() -> Self {
                Self::Unknown($crate::Str::default())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )*
                    other => Self::Unknown($crate::Str::from(other)),
                }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::value::Atomic for $name {
            const TYPE: $crate::schema::AtomicType = $crate::schema::AtomicType::String;

            fn read(
                reader: &mut $crate::value::json::Reader<'_>,
            ) -> ::core::result::Result<Self, $crate::value::json::DecodeError> {
                reader.string().map(|text| Self::from(&*text))
            }

            fn to_atom(&self) -> $crate::value::Atom {
                $crate::value::Atom::String($crate::Str::from(self.as_str()))
            }
        }
    };
}
