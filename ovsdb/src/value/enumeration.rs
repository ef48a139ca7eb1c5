//! Macros for the generated enums.

/// Expands to its items with the feature `serde`, and to nothing without it. Generated code is in other
/// crates, where `cfg` would check the features of those crates.
#[cfg(feature = "serde")]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_serde {
    ($($item:item)*) => { $($item)* };
}

/// Expands to its items with the feature `serde`, and to nothing without it.
#[cfg(not(feature = "serde"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_serde {
    ($($tokens:tt)*) => {};
}

/// Declares the enum for a string column, with the variant `Unknown` for values that the schema does
/// not list.
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
        #[derive(
            ::core::fmt::Debug,
            ::core::clone::Clone,
            ::core::cmp::PartialEq,
            ::core::cmp::Eq,
            ::core::cmp::PartialOrd,
            ::core::cmp::Ord,
            ::core::hash::Hash,
        )]
        #[non_exhaustive]
        $visibility enum $name {
            $( $(#[$variant_meta])* $variant, )*
            /// A value that the compiled schema does not list, for instance from a newer server; or the
            /// empty string of a column that is not set.
            Unknown($crate::Str),
        }

        impl $name {
            /// The value as the schema spells it.
            #[must_use]
            $visibility fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl ::core::default::Default for $name {
            /// The empty string, which means not set. Unless the schema lists it, a server refuses to
            /// insert a row with it.
            fn default() -> Self {
                <Self as ::core::convert::From<&str>>::from("")
            }
        }

        impl ::core::convert::From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )*
                    other => Self::Unknown(<$crate::Str as ::core::convert::From<&str>>::from(other)),
                }
            }
        }

        impl ::core::convert::From<$crate::Str> for $name {
            fn from(text: $crate::Str) -> Self {
                <Self as ::core::convert::From<&str>>::from(&text)
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = ::core::convert::Infallible;

            // Not `Self::Err`, which would be ambiguous if there is a variant with that name.
            fn from_str(
                text: &str,
            ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
                ::core::result::Result::Ok(<Self as ::core::convert::From<&str>>::from(text))
            }
        }

        impl ::core::convert::AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        $crate::__with_serde! {
            impl $crate::__serde::Serialize for $name {
                fn serialize<S: $crate::__serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl<'de> $crate::__serde::Deserialize<'de> for $name {
                fn deserialize<D: $crate::__serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::core::result::Result<Self, D::Error> {
                    let text = <$crate::Str as $crate::__serde::Deserialize>::deserialize(deserializer)?;
                    ::core::result::Result::Ok(<Self as ::core::convert::From<&str>>::from(&text))
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
            const DOMAIN: $crate::value::Domain = $crate::value::Domain::Enum(&[$($text),*]);

            fn read(
                reader: &mut $crate::value::json::Reader<'_>,
            ) -> ::core::result::Result<Self, $crate::value::json::DecodeError> {
                reader.string().map(|text| <Self as ::core::convert::From<&str>>::from(&text))
            }

            fn to_atom(&self) -> $crate::value::Atom {
                $crate::value::Atom::String(<$crate::Str as ::core::convert::From<&str>>::from(self.as_str()))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::Str;
    use crate::value::{Atom, Atomic};

    crate::__enumeration! {
        /// Two values, one of them with a character that no Rust name has.
        enum Action {
            /// `allow`
            Allow = "allow",
            /// `allow-related`
            AllowRelated = "allow-related",
        }
    }

    crate::__enumeration! {
        /// The values of a column for which the schema lists the empty string.
        enum Color {
            /// ``
            Empty = "",
            /// `red`
            Red = "red",
        }
    }

    #[test]
    fn the_default_is_the_listed_empty_string() {
        assert_eq!(Color::default(), Color::Empty);
        assert_eq!(Color::default(), Color::from(""));
        assert_eq!(Color::Empty.to_string(), "");
        assert_eq!("red".parse(), Ok(Color::Red));
    }

    #[test]
    fn an_enum_is_made_from_text_and_back() {
        for (text, action) in [
            ("allow", Action::Allow),
            ("allow-related", Action::AllowRelated),
            ("reject", Action::Unknown("reject".into())),
            ("", Action::default()),
        ] {
            assert_eq!(Action::from(text), action);
            assert_eq!(Action::from(Str::from(text)), action);
            assert_eq!(text.parse(), Ok(action.clone()));
            assert_eq!(action.as_str(), text);
            assert_eq!(AsRef::<str>::as_ref(&action), text);
            assert_eq!(action.to_string(), text);
            assert_eq!(action.to_atom(), Atom::String(text.into()));
        }
    }
}
