//! Enums whose values have names: each value stands with its name, once.

/// The enum, all of its values, and the name of each.
macro_rules! named {
    ($(#[$meta:meta])* pub(crate) enum $of:ident { $($(#[$doc:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $of {
            $($(#[$doc])* $value,)+
        }

        impl $of {
            /// All of them, in the order of their discriminants.
            pub(crate) const ALL: [Self; [$($name),+].len()] = [$(Self::$value),+];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }
    };
}

pub(crate) use named;
