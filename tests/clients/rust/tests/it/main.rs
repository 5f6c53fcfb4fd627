//! rumqttc against the broker that `MICRO_MQ_TEST_TCP` names.

/// Each scenario once with 3.1.1 and once with 5.0.
macro_rules! with_both_versions {
    ($($scenario:ident),+ $(,)?) => {
        mod version_3_1_1 {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario::<rumqttc::AsyncClient>().await;
                }
            )+
        }

        mod version_5_0 {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario::<rumqttc::v5::AsyncClient>().await;
                }
            )+
        }
    };
}

mod limits;
mod messages;
mod properties;
mod sessions;
