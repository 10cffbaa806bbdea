package org.hipway.hapi;

import ca.uhn.fhir.interceptor.model.RequestPartitionId;
import ca.uhn.fhir.jpa.api.dao.DaoRegistry;
import ca.uhn.fhir.jpa.cache.IResourceChangeListenerRegistry;
import ca.uhn.fhir.jpa.cache.ResourceChangeListenerRegistryInterceptor;
import ca.uhn.fhir.jpa.searchparam.SearchParameterMap;
import java.util.concurrent.ConcurrentHashMap;
import org.opencds.cqf.fhir.cql.EvaluationSettings;
import org.opencds.cqf.fhir.cr.hapi.common.ElmCacheResourceChangeListener;
import org.opencds.cqf.fhir.cr.hapi.config.CrBaseConfig;
import org.opencds.cqf.fhir.cr.hapi.config.RepositoryConfig;
import org.opencds.cqf.fhir.cr.hapi.config.r4.ApplyOperationConfig;
import org.opencds.cqf.fhir.cr.hapi.config.r4.EvaluateOperationConfig;
import org.opencds.cqf.fhir.utility.client.TerminologyServerClientSettings;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;

/** PlanDefinition/$apply and Library/$evaluate, with libraries compiled once. */
@Configuration
@Import({CrBaseConfig.class, RepositoryConfig.class, ApplyOperationConfig.class, EvaluateOperationConfig.class})
class Reasoning {
    private static final long SEEN_AFTER_MS = 1000;

    @Bean
    EvaluationSettings evaluationSettings() {
        return EvaluationSettings.getDefault()
                .withLibraryCache(new ConcurrentHashMap<>())
                .withModelCache(new ConcurrentHashMap<>())
                .withValueSetCache(new ConcurrentHashMap<>());
    }

    @Bean
    TerminologyServerClientSettings terminologyServerClientSettings() {
        return TerminologyServerClientSettings.getDefault();
    }

    /** Forgets a compiled library when its resource changes; without it the old one keeps answering. */
    @Bean
    ElmCacheResourceChangeListener elmCacheResourceChangeListener(
            DaoRegistry daos, EvaluationSettings settings, IResourceChangeListenerRegistry registry) {
        var listener = new ElmCacheResourceChangeListener(daos, settings.getLibraryCache());
        registry.registerResourceResourceChangeListener(
                "Library", RequestPartitionId.allPartitions(), SearchParameterMap.newSynchronous(), listener, SEEN_AFTER_MS);
        return listener;
    }

    @Bean
    ResourceChangeListenerRegistryInterceptor resourceChangeListenerRegistryInterceptor() {
        return new ResourceChangeListenerRegistryInterceptor();
    }
}
